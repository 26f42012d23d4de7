"""The doctor: a recipe examined before it is trained, on its own base, data and adapter."""
