"""What is decided and tried before an audit begins: costs, time, a rehearsal."""
