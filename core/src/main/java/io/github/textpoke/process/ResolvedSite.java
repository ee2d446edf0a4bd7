package io.github.textpoke.process;

import io.github.textpoke.decode.CodeRegion;

/**
 * What a site's name stands for in one process.
 *
 * @param name as asked for
 * @param address absolute
 * @param code the function that holds it, as it stands in memory
 */
public record ResolvedSite(SiteName name, long address, CodeRegion code) {}
