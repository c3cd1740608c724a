"""What accounting decides, pure: which accounts a posted movement debits and credits."""
