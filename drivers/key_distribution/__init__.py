"""Key distribution: links built from several instruments, and commercial systems, with one face to the plans."""
