//! Named faults and the state they lead to.
