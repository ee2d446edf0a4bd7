/**
 * The ledger: the record, inside of a target, of every patch in it. Any patcher can list it, and go
 * on where another one was cut off. {@link io.github.textpoke.ledger.Ledger} reads and writes it
 * through a {@link io.github.textpoke.ledger.LedgerMemory}; it knows no process. Whatever the
 * memory holds, reading it ends, and throws nothing.
 */
@NullMarked
package io.github.textpoke.ledger;

import org.jspecify.annotations.NullMarked;
