"""Where bytes come from: dumps, a guest that runs on this host, and what both come down to."""
