"""The trainer: rows in Redis + a recipe -> a bundle. It serves nothing and knows no server."""
