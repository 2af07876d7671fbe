"""The benchmark suite of fastmld. In the source tree it is bench/; it is installed as fastmld_bench."""
