"""Makes specs that read as if a careful person had written them."""
