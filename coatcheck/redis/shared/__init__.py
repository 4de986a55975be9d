"""Any number of hosts with the same sessions: Redis has them, and each host keeps copies of those that it meets."""
