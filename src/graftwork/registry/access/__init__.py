"""Who may do what: roles and their permissions, API keys."""
