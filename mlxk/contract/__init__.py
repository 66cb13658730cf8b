"""What we promise to the outside: envelope, errors, notes, schemas. Knows no command."""
