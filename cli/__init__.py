"""The `insitu` command: composes trainer and server, and starts the embedded Redis."""
