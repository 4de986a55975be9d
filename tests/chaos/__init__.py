"""``python -m tests.chaos``: web workers and the actor system under load while their processes are killed."""
