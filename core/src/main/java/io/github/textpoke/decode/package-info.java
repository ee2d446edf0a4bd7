@NullMarked
package io.github.textpoke.decode;

import org.jspecify.annotations.NullMarked;
