"""What is said on a wire, as pure data: messages, framing, SCPI values, transcripts. No sockets, threads or time."""
