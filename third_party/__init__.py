"""What is known of the checkpoints that others published; none of their code."""
