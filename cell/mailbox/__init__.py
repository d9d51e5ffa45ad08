"""Records in shared memory between the processes."""
