package io.github.textpoke.process;

import io.github.textpoke.CodeBytes;

/**
 * The thread-local variables of one object, as a new thread finds them.
 *
 * @param id the loader's number of the object, an index of each thread's table (dtv)
 * @param offset how far below the thread pointer its block lies in every thread; 0: each thread's
 *     block lies elsewhere
 * @param image the first bytes, relocated as they are in the target
 * @param size bytes; what the image lacks is zero
 */
record TlsModule(int id, long offset, CodeBytes image, long size) {
  /** Whether its block lies at the same distance from every thread's pointer. */
  boolean isStatic() {
    return offset != 0;
  }
}
