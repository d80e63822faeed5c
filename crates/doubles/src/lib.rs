//! Stand-ins of outside services.
