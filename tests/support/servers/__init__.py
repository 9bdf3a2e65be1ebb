"""Real Kafka, MongoDB and Redis as child processes, on free ports of the loopback interface."""
