"""For those who look after sessions: what is there to see, and the tools that show it (extra ``admin``)."""
