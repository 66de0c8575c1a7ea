"""What is answered here, a module for each family of commands."""
