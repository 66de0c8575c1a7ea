"""Several server processes on one port: started, watched, replaced and ended by one small supervisor."""
