"""Pure decisions of the gate: values in, values out."""
