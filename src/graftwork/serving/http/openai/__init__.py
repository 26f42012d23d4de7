"""OpenAI's API: what is asked and told in its form."""
