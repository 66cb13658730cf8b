"""JSON frames to chat types and back. No socket, no clock, no random."""
