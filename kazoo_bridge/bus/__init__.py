"""Messages in and out: AMQP, and an embedded bus with the same topic semantics."""
