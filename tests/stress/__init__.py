"""``python -m tests.stress``: many askers at once on the actor lane, while the manager is stopped and killed."""
