"""Skill: how good the networks of the ready recipes are beside scikit-learn, on the same held-out rows."""
