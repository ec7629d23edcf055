//! A Weixin platform on loopback.
