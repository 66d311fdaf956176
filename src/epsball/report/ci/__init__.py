"""What a CI server reads of an audit: JUnit, SARIF and GitHub's job summary. No torch."""
