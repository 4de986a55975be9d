"""Flask on coatcheck: in this process, and under gunicorn."""
