"""Lab control and acquisition for quantum-secured optical links over multicore fibre."""
