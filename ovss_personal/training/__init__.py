"""What only trains or experiments, with commands of their own; nothing else imports it."""
