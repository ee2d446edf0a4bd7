/* plain_new.so: a live patch of plain, whose function returns x + 7. */
long plain(long x) { return x + 7; }
