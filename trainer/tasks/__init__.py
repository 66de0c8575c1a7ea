"""Tasks: what a network is asked for: its loss and the answer that is served."""
