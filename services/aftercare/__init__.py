"""What happens to a unit after and beside its stock life: coverage, claims, custody, attributes, maintenance."""
