declare module 'cluster-key-slot' {
  const keySlot: (key: string | Buffer) => number
  export default keySlot
}
