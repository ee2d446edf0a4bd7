@NullMarked
package io.github.textpoke.linux;

import org.jspecify.annotations.NullMarked;
