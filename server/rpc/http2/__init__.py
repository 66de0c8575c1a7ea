"""HTTP/2 as far as gRPC needs it, on asyncio: frames, headers, flow control; it knows no call and no message."""
