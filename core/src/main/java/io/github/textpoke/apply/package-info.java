@NullMarked
package io.github.textpoke.apply;

import org.jspecify.annotations.NullMarked;
