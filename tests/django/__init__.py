"""The integration for Django."""
