"""The op table: the one declaration of every dtype, operation, error and native function."""
