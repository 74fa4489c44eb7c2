/** `12.3 MB` */
export const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`
