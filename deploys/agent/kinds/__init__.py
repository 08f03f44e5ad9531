"""What any machine can hold: one kind of resource a file, and what they share."""
