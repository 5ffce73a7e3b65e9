//! Route matching: host, path, method, headers, query; precedence.
