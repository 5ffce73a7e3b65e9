//! The HTTP/1 codec, without input or output.
