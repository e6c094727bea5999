//! config.md, "Mounts" and "Linux mount options".
