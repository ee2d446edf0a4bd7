@NullMarked
package io.github.textpoke;

import org.jspecify.annotations.NullMarked;
