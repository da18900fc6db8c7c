"""What a person approves: the plan, its ID, and who may."""
