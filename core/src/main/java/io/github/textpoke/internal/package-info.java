/** What several packages need and no user: not API. */
@org.jspecify.annotations.NullMarked
package io.github.textpoke.internal;
