"""Running a plan of an audit."""
